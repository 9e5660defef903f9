"""Building blocks that do not use an account: ids, samples, parameter checks, amounts, errors."""
