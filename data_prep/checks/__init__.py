"""Find what is wrong with a raw dataset, case by case and between cases."""
