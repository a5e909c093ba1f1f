//! From scraped samples to verdicts: scraping, samples, windows, objectives.

pub mod objective;
