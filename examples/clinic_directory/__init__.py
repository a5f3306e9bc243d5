"""A web page with the doctors of all clinics, each clinic's card appearing as its answer arrives."""
