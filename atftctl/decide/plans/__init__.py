"""From facts and a request to a plan, or to a refusal."""
