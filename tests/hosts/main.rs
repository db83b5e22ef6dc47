//! Whole nodes as processes on hosts of their own: namespaces that the test makes itself, wires between them.
