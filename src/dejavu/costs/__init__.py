"""What a configuration will cost, before any of it runs: ``make plan``, and the rehearsal that tests it.

Rooms: ``sizes`` (how many pairs and samples), ``rates`` (what a unit of work takes on a machine), ``work`` (the units
of every job), ``memory``, ``predict`` (all of it together, by stage and in hours), ``measure`` and the probes (rates
of this machine), ``run`` (the command), ``rehearsal`` (the prediction beside what was measured).
"""
