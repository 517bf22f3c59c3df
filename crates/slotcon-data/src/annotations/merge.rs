//! Several categories as one class.

use std::collections::BTreeMap;

use super::{Annotations, Category};

/// Which categories become which class: by the name of the class the names of its categories. Empty: all stay as they are.
pub type Groups = BTreeMap<String, Vec<String>>;

/// The classes of `groups`, numbered 1, 2, … in the order of their names.
pub fn merged_categories(groups: &Groups) -> Vec<Category> {
    let names = groups.keys().cloned().zip(1..);
    names.map(|(name, id)| Category { id, name }).collect()
}

/// The position of the class that each of `names` belongs to, where there is one.
///
/// # Errors
/// A name in `groups` that is none of `names`: it, and those that there are.
pub fn merged_classes(groups: &Groups, names: &[&str]) -> Result<Vec<Option<usize>>, String> {
    for (class, members) in groups {
        if let Some(unknown) = members.iter().find(|member| !names.contains(&member.as_str())) {
            return Err(format!(
                "'{unknown}' of '{class}' is none of its categories; they are {}",
                names.join(", ")
            ));
        }
    }
    let class_of = |name: &&str| {
        let mut members = groups.values();
        members.position(|members| members.iter().any(|member| member == name))
    };
    Ok(names.iter().map(class_of).collect())
}

impl Annotations {
    /// Takes the categories of each group as one class; objects of categories in no group are left out. Nothing is changed where
    /// there are no groups.
    ///
    /// # Errors
    /// As [`merged_classes`].
    pub fn merge(&mut self, groups: &Groups) -> Result<(), String> {
        if groups.is_empty() {
            return Ok(());
        }
        let names = Vec::from_iter(self.categories.iter().map(|category| category.name.as_str()));
        let classes = merged_classes(groups, &names)?;
        for picture in &mut self.pictures {
            let path = &picture.path;
            picture.objects.retain_mut(|object| match classes[object.class] {
                Some(class) => {
                    object.class = class;
                    true
                }
                None => {
                    let which = || format!("object {} in {}", object.id, path.display());
                    self.left_out
                        .object("of a category in no class of data.merge", which);
                    false
                }
            });
        }
        self.categories = merged_categories(groups);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn groups(all: &[(&str, &[&str])]) -> Groups {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        all.iter()
            .map(|(class, names)| ((*class).to_owned(), owned(names)))
            .collect()
    }

    fn annotations() -> Annotations {
        let object = |id: i64| {
            format!(
                r#"{{"id": {id}, "image_id": 1, "category_id": {id}, "bbox": [1, 1, 8, 8],
                    "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]}}"#
            )
        };
        let text = format!(
            r#"{{"images": [{{"id": 1, "file_name": "a.png", "width": 20, "height": 20}}],
                "categories": [{{"id": 2, "name": "bus"}}, {{"id": 5, "name": "cat"}}, {{"id": 9, "name": "car"}}],
                "annotations": [{}]}}"#,
            [2, 5, 9].map(object).join(",")
        );
        Annotations::read(text.as_bytes(), Path::new("")).unwrap()
    }

    #[test]
    fn categories_of_a_group_are_one_class_and_others_are_left_out() {
        let mut found = annotations();
        found
            .merge(&groups(&[("vehicle", &["car", "bus"]), ("empty room", &[])]))
            .unwrap();
        let numbered = found.categories.iter().map(|c| (c.id, c.name.as_str()));
        assert_eq!(Vec::from_iter(numbered), [(1, "empty room"), (2, "vehicle")]);
        let objects = found.pictures[0].objects.iter().map(|o| (o.id, o.class));
        assert_eq!(Vec::from_iter(objects), [(2, 1), (9, 1)]);
        let said = found.left_out.sentences().join("; ");
        assert!(
            said.contains("1 object left out") && said.contains("object 5 in a.png"),
            "{said}"
        );
    }

    #[test]
    fn a_name_that_is_no_category_is_an_error() {
        let said = annotations()
            .merge(&groups(&[("vehicle", &["car", "lorry"])]))
            .unwrap_err();
        assert!(
            said.contains("'lorry' of 'vehicle'") && said.contains("bus, cat, car"),
            "{said}"
        );
    }

    #[test]
    fn without_groups_nothing_changes() {
        let mut found = annotations();
        found.merge(&Groups::new()).unwrap();
        assert_eq!(found, annotations());
    }
}
