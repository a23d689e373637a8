"""Commands of `atftctl backup`: create, list, show, pin, unpin, verify, diff, prune, rm."""
