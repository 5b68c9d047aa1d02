"""The commands on data and networks: parse, call, print. What they call is imported late."""
