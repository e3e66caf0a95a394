"""The console's pages: they show what the pure modules computed, with the browser's own controls and ECharts."""
