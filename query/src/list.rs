//! What a list shows: which integrations, in which order.

use std::{cmp::Ordering, sync::Arc};

use events::{
    ids::{LibraryId, PrincipalId},
    integration::Integration,
    principal::Principal,
};
use projector::{
    store::Snapshot,
    view::{
        access_by_principal::{AccessByPrincipal, reached_by},
        integrations::{
            Integrations,
            by_name::{ByName, Place},
        },
    },
};
use web::params::{Params, Times};

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

/// The order unless another is asked for.
const BY_NAME: Sort = Sort { key: SortKey::Name, way: Way::Ascending };

impl Sort {
    /// The order that the query asks for.
    pub(crate) fn of(params: &mut Params) -> Option<Self> {
        let text = params.one("sort")?;
        let (way, name) = text.strip_prefix('-').map_or((Way::Ascending, text), |name| (Way::Descending, name));
        let key = match name {
            "name" => SortKey::Name,
            "createdAt" => SortKey::CreatedAt,
            "updatedAt" => SortKey::UpdatedAt,
            "type" => SortKey::Type,
            _ => {
                let rule = "must be name, createdAt, updatedAt or type, with - before it for descending";
                params.refuse("sort", rule);
                return None;
            }
        };
        Some(Self { key, way })
    }

    /// Whether it is how visible sets are sorted anyway.
    pub(crate) fn is_by_name(self) -> bool {
        self == BY_NAME
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
    pub(crate) fn of(params: &mut Params) -> Self {
        let search = params.one("q").map(Search::parse).transpose().unwrap_or_else(|error| {
            params.refuse("q", error.to_string());
            None
        });
        let supports_upload = params.boolean("supportsUpload");
        let many = |name: &str| params.many(name).map(str::to_owned).collect();
        Self {
            search,
            supports_upload,
            types: many("type"),
            categories: many("category"),
            tags: many("tag"),
            owners: many("ownerId"),
        }
    }

    /// The integrations among `visible`, which are sorted by name, that it lets through: in the order asked for, else by
    /// relevance, else by name.
    pub(crate) fn find<'a>(&self, visible: &'a [Arc<Integration>], sort: Option<Sort>) -> Vec<&'a Arc<Integration>> {
        let passing = visible.iter().filter(|integration| self.passes(integration));
        let Some(search) = &self.search else {
            let mut found: Vec<_> = passing.collect();
            if let Some(sort) = sort.filter(|sort| !sort.is_by_name()) {
                sort.sort(&mut found);
            }
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

/// The integrations of a tenant that are not embedded and that the principal may see, by name.
pub(crate) fn visible(snapshot: &Snapshot<Integrations>, principal: &Principal) -> Vec<Arc<Integration>> {
    let known = |place: &Place| snapshot.documents.get(&place.id).cloned();
    let index = &snapshot.index;
    if principal.permissions.admin {
        return index.all().iter().filter_map(known).collect();
    }
    let ids = std::iter::once(&principal.id).chain(&principal.groups);
    let sets: Vec<&ByName> = ids.filter_map(|id| index.reachable(id)).collect();
    if let [only] = sets.as_slice() {
        return only.iter().filter_map(known).collect();
    }
    let mut places: Vec<&Place> = sets.into_iter().flat_map(ByName::iter).collect();
    places.sort();
    places.dedup();
    places.into_iter().filter_map(known).collect()
}

/// The integrations that a principal reaches, embedded ones too, by name.
pub(crate) fn reachable(
    snapshot: &Snapshot<Integrations>,
    reachable: &Snapshot<AccessByPrincipal>,
    principal: &PrincipalId,
) -> Vec<Arc<Integration>> {
    let known = reached_by(&reachable.documents, principal).filter_map(|(id, _)| snapshot.documents.get(&id));
    let mut found: Vec<_> = known.filter(|integration| integration.is_reached_by(principal)).collect();
    BY_NAME.sort(&mut found);
    found.into_iter().cloned().collect()
}

/// The integrations of a library that the principal may see, in order.
pub(crate) fn embedded<'a>(
    snapshot: &'a Snapshot<Integrations>,
    principal: &Principal,
    library: &LibraryId,
    sort: Option<Sort>,
) -> Vec<&'a Arc<Integration>> {
    let places = snapshot.index.embedded(library).into_iter().flat_map(ByName::iter);
    let all = places.filter_map(|place| snapshot.documents.get(&place.id));
    let mut found: Vec<_> = all.filter(|integration| integration.level_of(principal).is_some()).collect();
    if let Some(sort) = sort {
        sort.sort(&mut found);
    }
    found
}

#[cfg(test)]
mod tests;
