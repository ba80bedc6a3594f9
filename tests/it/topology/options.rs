//! What a test may ask of a topology of several processes, beside the options of the product.

use std::path::Path;

use servers::postgres::Postgres;

/// What begins an option that names the brokers of Kafka.
pub(crate) const KAFKA: &str = "kafka=";
/// What begins an option that names how topics begin.
pub(crate) const TOPICS: &str = "topics=";
/// What begins an option that names a database.
pub(crate) const DATABASE: &str = "database=";

/// The value of an option, by what it begins with.
pub(crate) fn named<'a>(options: &'a [String], name: &str) -> Option<&'a str> {
    options.iter().find_map(|option| option.strip_prefix(name))
}

/// The options without those of these beginnings: those of the product.
pub(crate) fn without<'a>(options: &'a [String], names: &[&str]) -> Vec<&'a str> {
    let is_of_product = |option: &&str| !names.iter().any(|name| option.starts_with(name));
    options.iter().map(String::as_str).filter(is_of_product).collect()
}

/// Where the views are: where the options say, or where they were when something was started on the data directory before,
/// or in a new database.
pub(crate) fn database(data_dir: &Path, options: &[String], postgres: &Postgres) -> String {
    let note = data_dir.with_extension("database");
    let before = || std::fs::read_to_string(&note).ok();
    let database = named(options, DATABASE).map(str::to_owned).or_else(before).unwrap_or_else(|| postgres.database());
    std::fs::write(note, &database).unwrap();
    database
}
