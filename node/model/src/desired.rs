//! What one node must do: the difference between what the state wants of it and what runs there.
