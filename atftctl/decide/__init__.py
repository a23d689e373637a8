"""Pure functions: from facts and a request to a plan or a refusal, from measurements to a verdict."""
