"""Several servers as one: who is there, who has which session, and how they ask each other."""
