//! YAML 1.1 as PyYAML reads it, every node with its position, and diagnostics that show the line.
