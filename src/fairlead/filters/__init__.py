"""What happens to a statement on its way: one module per filter."""
