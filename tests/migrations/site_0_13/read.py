"""``python read.py``: read every row with the old models, and fail on the first error."""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()

from django.apps import apps

for model in apps.get_app_config("aa_stripe").get_models():
    for row in model._base_manager.all():
        assert str(row)
