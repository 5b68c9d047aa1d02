"""What every long command shares: its record, its weights on disk, its device, how it talks."""
