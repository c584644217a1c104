{#- A view is replaced by one statement: whoever asks for it finds the old one or the new one, and its grants stay. dbt would else give it
    another name first, and then its name to the new one. -#}
{% macro postgres__create_view_as(relation, sql) -%}
  create or replace view {{ relation }} as (
    {{ sql }}
  );
{%- endmacro %}

{% materialization view, adapter='postgres' %}
  {{ return(create_or_replace_view()) }}
{% endmaterialization %}
