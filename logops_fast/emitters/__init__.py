"""Emitters & Scenario Orchestrator (C4 container): believable signed traffic."""
