"""Capture workers of other hosts: how they prove themselves, dial in, get orders and deliver evidence.

    hub          the server's side: the workers that are there, and CaptureWorkerService
    attending    the worker's side: dials in, and has captures run on its host as the server does on its own
    certificates what a worker is given when it is enrolled
    door         the address where workers dial in

The worker's side opens no database and has no secret but its certificate's key. A worker carries out what a signed
order says (`diagnostics.orders`), on the interfaces that its own configuration allows, and nothing else.
"""
