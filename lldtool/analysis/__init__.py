"""Plans -> what they say: differences, key effects, lr curves, layer roles."""
