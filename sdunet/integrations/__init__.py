"""The networks inside other trainers, through the doors these leave open."""
