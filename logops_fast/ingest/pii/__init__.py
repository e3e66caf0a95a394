"""Personal data masked in serialised log lines: addresses, payment cards, tokens and named fields."""
