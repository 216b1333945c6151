"""Who is primary: observation of the servers, topology, states, events."""
