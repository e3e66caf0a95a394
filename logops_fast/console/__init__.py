"""The console: a web page for the Scenario Orchestrator and a running gateway (contract 14).

What pages show is computed by pure modules, which the tests try without a browser: ``guard``, ``live``, ``profile``,
``edits``, ``run_state``, ``history``, ``charts``. ``pages`` and ``app`` alone import NiceGUI, which the extra
``console`` installs.
"""
