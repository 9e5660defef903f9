"""Building blocks that know no account: ids, samples, checks of parameters, amounts, errors."""
