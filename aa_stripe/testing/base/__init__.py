"""Building blocks that do not use an account: ids, samples, checks of parameters, amounts, errors."""
