"""The session engine: sessions, log, replay, isolates and the sandbox. No HTTP, no storage format.

Nothing is imported here on purpose: ``engine.isolate`` runs in the zygote, and whatever this module
imported would be mapped into every worker. Start reading at ``engine.supervisor``.
"""
