"""What lists of cases and descriptions say beside the cases themselves."""
