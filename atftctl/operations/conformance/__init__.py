"""`trainer check`: a trainer that is really started, stopped, killed and resumed."""
