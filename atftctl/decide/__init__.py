"""Pure functions: facts and a request to a plan or a refusal; measurements to a verdict."""
