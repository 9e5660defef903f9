"""Users whose primary key is a UUID or a text, and a payer that is no user."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class PersonManager(BaseUserManager):
    def create_user(self, username, **fields):
        person = self.model(username=username, **fields)
        person.set_unusable_password()
        person.save(using=self._db)
        return person


class Person(AbstractBaseUser):
    """A user without Django's permissions: a superuser may do everything."""

    username = models.CharField(max_length=150, unique=True)
    email = models.EmailField(blank=True)
    is_staff = models.BooleanField(default=False)
    is_superuser = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    objects = PersonManager()

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"

    class Meta:
        abstract = True

    def has_perm(self, permission, obj=None):
        return self.is_superuser

    def has_module_perms(self, app_label):
        return self.is_superuser


class UuidUser(Person):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)


class TextUser(Person):
    """A user whose key has characters with a meaning in URLs, in SQL's LIKE, and in no ASCII."""

    key = models.CharField(max_length=150, primary_key=True)

    def save(self, *args, **kwargs):
        self.key = self.key or f"ü/ %_{self.username}@example.com"
        super().save(*args, **kwargs)


class Office(models.Model):
    """A payer for a user, with another primary key than the user's."""

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=150)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)

    def __str__(self):
        return self.name
