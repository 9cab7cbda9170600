//! Arguments, help, progress, printing. The only room that prints.
