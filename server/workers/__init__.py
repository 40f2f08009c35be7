"""The server's side of capture workers on other hosts: enrolment, connections, orders and delivery of evidence.

    remote_workers  the connected workers, and CaptureWorkerService
    connection      one connected worker
    remote_worker   one capture at a remote worker
    router          the choice between local and remote workers
    delivery        a sealed file that arrives
    enrolment       the folder and certificate of a new worker
    listener        the address where workers connect

The worker's side is `diagnostics.agent`. It opens no database and has no secret except the key of its certificate. A
worker executes only signed orders, on the interfaces that its own configuration permits.
"""
