"""Print what a PBX keeps as items with participants."""
