import { Alert, Button, PasswordInput, TextInput } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { useCreateFirstAdmin } from './api/create_first_admin';
import { useSignIn } from './api/sign_in';
import classes from './session.module.css';
import type { ReactNode } from 'react';

const PASSWORD_MIN = 10;

function Card({ title, text, children }: { title: string; text: ReactNode; children: ReactNode }) {
  return (
    <main className={classes.screen}>
      <div className={classes.card}>
        <div className={classes.brand}>
          <img src="/icon.svg" alt="" width={30} height={30} />
          TinySphere
        </div>
        <h1 className={classes.title}>{title}</h1>
        <p className={classes.text}>{text}</p>
        {children}
      </div>
    </main>
  );
}

export function SignInPage({ onSignedIn }: { onSignedIn: () => void }) {
  const signIn = useSignIn();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');

  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate({ name, password }, { onSuccess: onSignedIn });
  };

  return (
    <Card title="Sign in" text="Your fleet's models, what changed under them, and what to do about it.">
      <form onSubmit={submit} className={classes.form}>
        {signIn.error && (
          <Alert color="red" role="alert" variant="light">
            {signIn.error.message}
          </Alert>
        )}
        <TextInput
          label="Name"
          name="name"
          autoComplete="username"
          required
          withAsterisk={false}
          data-autofocus
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <PasswordInput
          label="Password"
          name="password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <Button type="submit" loading={signIn.isPending} fullWidth>
          Sign in
        </Button>
      </form>
      <p className={classes.foot}>
        A new server? <Link to="/first-admin">Make the first administrator</Link>
      </p>
    </Card>
  );
}

/** What the file first-admin holds may be the secret itself or a link with it. */
export function secretOf(pasted: string): string {
  const text = pasted.trim();
  const match = /[?&#]link=([^&\s]+)/.exec(text);
  return match?.[1] === undefined ? text : decodeURIComponent(match[1]);
}

export function FirstAdminPage({ link: given, onSignedIn }: { link: string; onSignedIn: () => void }) {
  const create = useCreateFirstAdmin();
  const [link, setLink] = useState(given);
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const isShort = password.length > 0 && password.length < PASSWORD_MIN;

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (password.length < PASSWORD_MIN) return;
    create.mutate({ link: secretOf(link), name, password }, { onSuccess: onSignedIn });
  };

  return (
    <Card
      title="First administrator"
      text={
        <>
          The link is in the file <code>first-admin</code> of the server&apos;s data folder. It works once, within an
          hour of the first start.
        </>
      }
    >
      <form onSubmit={submit} className={classes.form}>
        {create.error && (
          <Alert color="red" role="alert" variant="light">
            {create.error.message}
          </Alert>
        )}
        <TextInput
          label="Link"
          required
          withAsterisk={false}
          autoComplete="off"
          value={link}
          onChange={(event) => setLink(event.currentTarget.value)}
        />
        <TextInput
          label="Name"
          autoComplete="username"
          required
          withAsterisk={false}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <PasswordInput
          label="Password"
          description={`At least ${PASSWORD_MIN} characters.`}
          autoComplete="new-password"
          required
          withAsterisk={false}
          value={password}
          error={isShort ? `${PASSWORD_MIN - password.length} more characters` : undefined}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <Button type="submit" loading={create.isPending} fullWidth>
          Create and sign in
        </Button>
      </form>
      <p className={classes.foot}>
        <Link to="/sign-in">Sign in instead</Link>
      </p>
    </Card>
  );
}
