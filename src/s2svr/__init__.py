"""Video restoration by flow-aligned sequence-to-sequence learning."""
