"""How answers are shown: to people, as wide and colourful as their terminal is, or as JSON."""
