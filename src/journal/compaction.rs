//! Snapshots of what a journal knows of itself, and moving the horizon to one of them.
