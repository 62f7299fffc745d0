"""Every query there is. The functions take a transaction, run inside it and never commit it.

``log`` appends and replays, ``inbox`` holds the state that REST reads, ``keys`` makes a repeated request harmless,
``used_tickets`` makes a ticket good for one stream, ``connections`` and ``registry`` know who is connected,
``waiting`` whether a relay has anything to do.
"""
