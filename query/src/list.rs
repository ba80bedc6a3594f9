//! What a list shows: which integrations, in which order.

use std::{cmp::Ordering, sync::Arc};

use events::integration::Integration;
use projector::{store::Snapshot, view::integrations::Integrations};
use web::{
    params::{Params, Times},
    problem::Problem,
};

use crate::search::{Rank, Search};

/// The query parameter by which a list is sorted.
pub(crate) const SORT_PARAM: (&str, Times) = ("sort", Times::Once);
/// The query parameters that say which integrations a list shows.
pub(crate) const FILTER_PARAMS: [(&str, Times); 6] = [
    ("q", Times::Once),
    ("supportsUpload", Times::Once),
    ("type", Times::Many),
    ("category", Times::Many),
    ("tag", Times::Many),
    ("ownerId", Times::Many),
];

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortKey {
    Name,
    CreatedAt,
    UpdatedAt,
    Type,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Ascending,
    Descending,
}

/// An order that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    key: SortKey,
    way: Way,
}

impl Sort {
    /// By name, ascending.
    pub(crate) const BY_NAME: Self = Self { key: SortKey::Name, way: Way::Ascending };

    /// The order that the query asks for.
    pub(crate) fn of(params: &Params) -> Result<Option<Self>, Problem> {
        let Some(text) = params.one("sort") else {
            return Ok(None);
        };
        let (way, name) = text.strip_prefix('-').map_or((Way::Ascending, text), |name| (Way::Descending, name));
        let key = match name {
            "name" => SortKey::Name,
            "createdAt" => SortKey::CreatedAt,
            "updatedAt" => SortKey::UpdatedAt,
            "type" => SortKey::Type,
            _ => {
                let rule = "must be name, createdAt, updatedAt or type, with - before it for descending";
                return Err(Problem::parameter("query:sort", rule));
            }
        };
        Ok(Some(Self { key, way }))
    }

    /// Sorts integrations; ties by id ascending either way.
    pub(crate) fn sort(self, found: &mut [&Arc<Integration>]) {
        match self.key {
            SortKey::Name => self.sort_by(found, |integration| integration.settings.name.to_lowercase()),
            SortKey::Type => self.sort_by(found, |integration| integration.settings.r#type.to_lowercase()),
            SortKey::CreatedAt => self.sort_by(found, |integration| integration.created_at),
            SortKey::UpdatedAt => self.sort_by(found, |integration| integration.updated_at),
        }
    }

    fn sort_by<K: Ord>(self, found: &mut [&Arc<Integration>], key: impl Fn(&Integration) -> K) {
        let towards = |order: Ordering| match self.way {
            Way::Ascending => order,
            Way::Descending => order.reverse(),
        };
        let mut keyed: Vec<_> = found.iter().map(|integration| (key(integration), *integration)).collect();
        keyed.sort_by(|(a, x), (b, y)| towards(a.cmp(b)).then_with(|| x.id.cmp(&y.id)));
        for (place, (_, integration)) in found.iter_mut().zip(keyed) {
            *place = integration;
        }
    }
}

/// Which integrations a list shows.
#[derive(Debug)]
pub(crate) struct Filter {
    search: Option<Search>,
    supports_upload: Option<bool>,
    types: Vec<String>,
    categories: Vec<String>,
    tags: Vec<String>,
    owners: Vec<String>,
}

impl Filter {
    /// What the query asks for.
    pub(crate) fn of(params: &Params) -> Result<Self, Problem> {
        let search = params.one("q").map(Search::parse).transpose();
        let many = |name: &str| params.many(name).map(str::to_owned).collect();
        Ok(Self {
            search: search.map_err(|error| Problem::parameter("query:q", error.to_string()))?,
            supports_upload: params.boolean("supportsUpload")?,
            types: many("type"),
            categories: many("category"),
            tags: many("tag"),
            owners: many("ownerId"),
        })
    }

    /// The integrations among `visible` that it lets through, in the order asked for, else by relevance, else by name.
    pub(crate) fn find<'a>(
        &self,
        visible: impl Iterator<Item = &'a Arc<Integration>>,
        sort: Option<Sort>,
    ) -> Vec<&'a Arc<Integration>> {
        let passing = visible.filter(|integration| self.passes(integration));
        let Some(search) = &self.search else {
            let mut found: Vec<_> = passing.collect();
            sort.unwrap_or(Sort::BY_NAME).sort(&mut found);
            return found;
        };
        let rank = |integration: &'a Arc<Integration>| {
            let settings = &integration.settings;
            Some((search.rank(&settings.name, settings.description.as_deref())?, integration))
        };
        let mut ranked: Vec<(Rank, &Arc<Integration>)> = passing.filter_map(rank).collect();
        ranked.sort_by_cached_key(|(rank, integration)| {
            (*rank, integration.settings.name.to_lowercase(), integration.id)
        });
        let mut found: Vec<_> = ranked.into_iter().map(|(_, integration)| integration).collect();
        if let Some(sort) = sort {
            sort.sort(&mut found);
        }
        found
    }

    fn passes(&self, integration: &Integration) -> bool {
        let settings = &integration.settings;
        let is_one_of = |wanted: &[String], value: &str| wanted.is_empty() || wanted.iter().any(|one| one == value);
        self.supports_upload.is_none_or(|wanted| wanted == settings.supports_upload)
            && is_one_of(&self.types, &settings.r#type)
            && is_one_of(&self.categories, settings.category.as_deref().unwrap_or_default())
            && is_one_of(&self.owners, integration.owner.as_str())
            && (self.tags.is_empty() || integration.tags.iter().any(|tag| is_one_of(&self.tags, tag.as_str())))
    }
}

/// The integrations of a tenant that are not embedded and that the principal may see.
pub(crate) fn visible<'a>(
    snapshot: &'a Snapshot<Integrations>,
    principal: &'a events::principal::Principal,
) -> impl Iterator<Item = &'a Arc<Integration>> {
    let seen = snapshot.documents.values().filter(move |integration| integration.level_of(principal).is_some());
    seen.filter(|integration| integration.library.is_none())
}

/// The integrations of a library that the principal may see, in order.
pub(crate) fn embedded<'a>(
    snapshot: &'a Snapshot<Integrations>,
    principal: &'a events::principal::Principal,
    library: &'a events::ids::LibraryId,
    sort: Option<Sort>,
) -> Vec<&'a Arc<Integration>> {
    let seen = snapshot.documents.values().filter(move |integration| integration.level_of(principal).is_some());
    let mut found: Vec<_> = seen.filter(|integration| integration.library.as_ref() == Some(library)).collect();
    sort.unwrap_or(Sort::BY_NAME).sort(&mut found);
    found
}

#[cfg(test)]
mod tests;
