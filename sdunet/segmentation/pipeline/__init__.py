"""From raw data to a package in one command: stages that are resumed, and a page about them."""
