"""What requests are counted by, under the field's names."""
