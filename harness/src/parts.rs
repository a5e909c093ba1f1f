//! The real programs that a world needs: found, or taken once from their published wheels.
