//! Problems as a person reads them: place, line, what was found, what is allowed, what to do.
