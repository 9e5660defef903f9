"""What every other room needs, and what knows no account: ids, refusals, amounts, texts."""
