"""The console's pages. They show what the pure modules computed, with the browser's own controls and NiceGUI's charts."""
