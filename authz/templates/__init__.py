"""Policy templates: texts, no code."""
