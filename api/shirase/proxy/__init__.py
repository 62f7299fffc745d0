"""All traffic with Pushpin nodes: GRIP headers, publishing and statistics."""
