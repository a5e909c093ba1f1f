//! The table of every supported kind and field: honoured, inert or refused.
