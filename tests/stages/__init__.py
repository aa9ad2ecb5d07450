"""`make test`: stages with budgets, one after the other. Standard library only: its first stage makes the tools."""
