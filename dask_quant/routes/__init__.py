"""The ways that a job takes through the house; `choose` picks one."""
